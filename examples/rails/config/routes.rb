Rails.application.routes.draw do
  resources :pictures, only: %i[index create destroy]
  resources :photos, only: %i[index create]
end
