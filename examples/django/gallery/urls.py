from django.urls import path

from . import views

urlpatterns = [
    path("", views.pictures, name="pictures"),
    path("photos/", views.photos, name="photos"),
    path("<int:pk>/delete/", views.delete_picture, name="delete_picture"),
]
