class PicturesController < ApplicationController
  def index
    show(Picture.new)
  end

  def create
    picture = Picture.new(params.require(:picture).permit(:alt, :file))
    picture.save ? redirect_to(pictures_path) : show(picture)
  end

  def destroy
    Picture.find(params[:id]).destroy
    redirect_to pictures_path
  end

  private

  def show(picture)
    render :index, locals: { form_model: picture, pictures: Picture.order(id: :desc) }
  end
end
