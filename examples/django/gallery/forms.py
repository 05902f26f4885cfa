from django import forms

from . import darkroom
from .models import Photo, Picture


class PictureForm(forms.ModelForm):
    file = forms.FileField(widget=forms.FileInput(attrs={"accept": "image/*"}))

    class Meta:
        model = Picture
        fields = ["alt"]

    def clean(self):
        super().clean()
        if self.errors:
            return
        try:
            record = darkroom.upload(self.cleaned_data["file"])
        except darkroom.DarkroomError as error:
            self.add_error("file", str(error))
        else:
            self.instance.darkroom_id = record["id"]
            self.instance.width, self.instance.height = record["width"], record["height"]


class PhotoForm(forms.ModelForm):
    class Meta:
        model = Photo
        fields = ["alt", "file"]
