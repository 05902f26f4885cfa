# A picture that Darkroom stores.
class Picture < ApplicationRecord
  attr_accessor :file

  validates :alt, presence: true
  validates :file, presence: true, on: :create
  validate :upload, on: :create, if: -> { errors.none? }
  after_destroy_commit :delete_image

  def darkroom_url(spec)
    DarkroomClient.image_url(darkroom_id, spec)
  end

  private

  def upload
    self.darkroom_id, self.width, self.height = DarkroomClient.upload(file).values_at('id', 'width', 'height')
  rescue DarkroomClient::Error => error
    errors.add(:base, error.message)
  end

  # The same bytes have the same id, so another row may show the same image.
  def delete_image
    DarkroomClient.delete(darkroom_id) unless Picture.exists?(darkroom_id: darkroom_id)
  rescue DarkroomClient::Error
    # Logged; the picture stays.
  end
end
