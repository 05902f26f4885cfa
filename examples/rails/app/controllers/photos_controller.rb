class PhotosController < ApplicationController
  def index
    show(Photo.new)
  end

  def create
    photo = Photo.new(params.require(:photo).permit(:alt, :file))
    photo.save ? redirect_to(photos_path) : show(photo)
  end

  private

  def show(photo)
    render 'pictures/index', locals: { form_model: photo, pictures: Photo.order(id: :desc).with_attached_file }
  end
end
