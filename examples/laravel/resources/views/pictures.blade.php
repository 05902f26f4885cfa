<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Pictures</title>
<style>img { width: 100%; max-width: 800px; height: auto }</style>
<form method="post" enctype="multipart/form-data">
    @csrf
    <label>Text <input name="alt" value="{{ old('alt') }}" required></label>
    <label>Picture <input type="file" name="file" accept="image/*" required></label>
    @foreach ($errors->all() as $error)
        <p role="alert">{{ $error }}</p>
    @endforeach
    <button>Upload</button>
</form>
@foreach ($pictures as $picture)
    <figure>
        <x-darkroom-img :picture="$picture" sizes="(max-width: 800px) 100vw, 800px" />
        <figcaption>{{ $picture->alt }}</figcaption>
        @if ($picture->darkroom_id)
            <form method="post" action="{{ route('pictures.destroy', $picture) }}">
                @csrf
                @method('delete')
                <button>Delete</button>
            </form>
        @endif
    </figure>
@endforeach
</html>
