from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_POST

from .forms import PhotoForm, PictureForm
from .models import Photo, Picture


def pictures(request):
    return show(request, PictureForm, Picture)


def photos(request):
    return show(request, PhotoForm, Photo)


def show(request, form_class, model):
    form = form_class(request.POST or None, request.FILES or None)
    if request.method == "POST" and form.is_valid():
        form.save()
        return redirect(request.path)
    return render(request, "gallery/pictures.html", {"form": form, "pictures": model.objects.order_by("-id")})


@require_POST
def delete_picture(request, pk):
    get_object_or_404(Picture, pk=pk).delete()
    return redirect("pictures")
