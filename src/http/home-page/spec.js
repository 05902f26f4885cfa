/**
 * The size specification of the form's values, all of them texts or booleans. The server judges it: an invalid combination is kept.
 *
 * @example specOf({ width: '400', height: '300', fit: 'cover', position: 'focal', x: '30', y: '70' }) // '400w300h,cover,at30x70'
 */
export function specOf(values) {
  const { width = '', height = '', fit = 'inside', position = 'center', x, y } = values
  const isSquare = fit === 'cover' && width !== '' && width === height
  const box = `${width && `${width}w`}${height && `${height}h`}`
  const place = position === 'focal' ? `at${x}x${y}` : position
  const options = [
    isSquare || fit === 'inside' ? '' : fit,
    place === 'center' ? '' : place,
    values.density && values.density !== '1' ? `${values.density}x` : '',
    values.quality ? `q${values.quality}` : '',
    values.up ? 'up' : '',
    values.background ? `bg${values.background.replace('#', '').toLowerCase()}` : '',
    values.rotate ? `rot${values.rotate}` : '',
    ...['flip', 'flop', 'gray'].map((name) => (values[name] ? name : '')),
    values.blur ? `blur${values.blur}` : '',
    ...['sharpen', 'still'].map((name) => (values[name] ? name : '')),
  ]
  return [isSquare ? `${width}s` : box || 'full', ...options].filter((part) => part !== '').join(',')
}

/**
 * A point of the original, where the rotated and mirrored picture has it. The server applies rotation, flip and flop before the crop.
 * @param point x and y from 0 to 1.
 */
export function turnPoint({ x, y }, { rotate = '', flip = false, flop = false }) {
  const turned = { '': { x, y }, 90: { x: 1 - y, y: x }, 180: { x: 1 - x, y: 1 - y }, 270: { x: y, y: 1 - x } }[rotate]
  return { x: flop ? 1 - turned.x : turned.x, y: flip ? 1 - turned.y : turned.y }
}

/** The inverse of `turnPoint`. */
export function turnPointBack({ x, y }, { rotate = '', flip = false, flop = false }) {
  const back = { '': '', 90: '270', 180: '180', 270: '90' }[rotate]
  return turnPoint({ x: flop ? 1 - x : x, y: flip ? 1 - y : y }, { rotate: back })
}

const FITS = ['inside', 'cover', 'contain', 'fill', 'outside']

/**
 * Shape of the renditions that a specification gives at any width.
 *
 * @param spec In the canonical spelling.
 * @param image Width and height of the original, in pixels.
 * @returns ratio: width / height; maxWidth: of a rendition that enlarges nothing; at: the specification with another width.
 */
export function shapeOf(spec, image) {
  const [size, ...given] = spec.split(',')
  const options = given.filter((option) => !/^[\d.]+x$/.test(option))
  const isTurned = options.some((option) => option === 'rot90' || option === 'rot270')
  const original = isTurned ? { width: image.height, height: image.width } : image
  const { w, h, s } = /^(?:(?<w>\d+)w)?(?:(?<h>\d+)h)?(?:(?<s>\d+)s)?/.exec(size).groups
  const fit = options.find((option) => FITS.includes(option)) ?? (s ? 'cover' : 'inside')
  const hasBox = (s !== undefined || (w !== undefined && h !== undefined)) && fit !== 'inside' && fit !== 'outside'
  if (!hasBox) {
    const effects = options.filter((option) => !FITS.includes(option))
    const ratio = original.width / original.height
    return { ratio, maxWidth: original.width, at: (width) => [`${width}w`, ...effects].join(',') }
  }
  const ratio = s === undefined ? w / h : 1
  const maxWidth = Math.max(1, Math.floor(Math.min(original.width, original.height * ratio)))
  const box = (width) => (s === undefined ? `${width}w${Math.max(1, Math.round(width / ratio))}h` : `${width}s`)
  return { ratio, maxWidth, at: (width) => [box(width), ...options].join(',') }
}
