from django.core.validators import FileExtensionValidator
from django.db import models, transaction
from django.db.models.signals import post_delete
from django.dispatch import receiver

from . import darkroom

FORMATS = ["jpg", "jpeg", "png", "webp", "avif", "gif"]  # INPUT_FORMATS of Darkroom


class Picture(models.Model):
    """A picture that Darkroom stores."""

    alt = models.CharField(max_length=200)
    darkroom_id = models.CharField(max_length=40, db_index=True)
    width = models.PositiveIntegerField()
    height = models.PositiveIntegerField()

    def darkroom_url(self, spec):
        return darkroom.image_url(self.darkroom_id, spec)


@receiver(post_delete, sender=Picture)
def delete_image(instance, **_):
    # The same bytes have the same id, so another row may show the same image.
    if not Picture.objects.filter(darkroom_id=instance.darkroom_id).exists():
        transaction.on_commit(lambda: darkroom.delete(instance.darkroom_id), robust=True)


class Photo(models.Model):
    """A picture whose file is in the bucket of django-storages."""

    alt = models.CharField(max_length=200)
    file = models.ImageField(upload_to="photos/", validators=[FileExtensionValidator(FORMATS)])
    width = models.PositiveIntegerField(null=True, editable=False)
    height = models.PositiveIntegerField(null=True, editable=False)

    def darkroom_url(self, spec):
        return darkroom.file_url(self.file.name, spec)

    def save(self, **options):
        super().save(**options)
        if self.width is None:
            info = darkroom.object_info(self.file.name)
            self.width, self.height = info["width"], info["height"]
            super().save(update_fields=["width", "height"])
