module DarkroomHelper
  WIDTHS = [400, 800, 1200].freeze

  # An <img> of anything with darkroom_url(spec), width, height and alt.
  def darkroom_img(picture, sizes: '100vw', **options)
    widths = WIDTHS.select { |width| width <= picture.width }.presence || WIDTHS.first(1)
    tag.img(
      src: picture.darkroom_url("#{widths.last}w"),
      srcset: widths.map { |width| "#{picture.darkroom_url("#{width}w")} #{width}w" }.join(', '),
      sizes: sizes,
      width: picture.width,
      height: picture.height,
      alt: picture.alt,
      loading: 'lazy',
      decoding: 'async',
      **options
    )
  end
end
