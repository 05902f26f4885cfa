# A picture whose file Active Storage keeps in a bucket.
class Photo < ApplicationRecord
  FORMATS = %w[image/jpeg image/png image/webp image/avif image/gif].freeze

  has_one_attached :file

  validates :alt, presence: true
  validate { errors.add(:file, 'is not a picture') unless FORMATS.include?(file.content_type) }

  def darkroom_url(spec)
    DarkroomClient.file_url(file.key, spec)
  end

  def width
    analyzed_file.metadata['width']
  end

  def height
    analyzed_file.metadata['height']
  end

  private

  def analyzed_file
    file.analyze unless file.analyzed?
    file
  end
end
