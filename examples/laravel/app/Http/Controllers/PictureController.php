<?php

namespace App\Http\Controllers;

use App\Darkroom;
use App\Models\Picture;
use Illuminate\Http\RedirectResponse;
use Illuminate\Http\Request;
use Illuminate\Routing\Controller;
use Illuminate\View\View;

class PictureController extends Controller
{
    public function index(): View
    {
        return view('pictures', ['pictures' => Picture::latest('id')->get()]);
    }

    public function store(Request $request): RedirectResponse
    {
        $input = $request->validate(['alt' => 'required|max:200', 'file' => 'required|file']);
        $record = Darkroom::upload($request->file('file'), 'file');
        Picture::create([
            'alt' => $input['alt'],
            'darkroom_id' => $record['id'],
            'width' => $record['width'],
            'height' => $record['height'],
        ]);
        return back();
    }

    public function destroy(Picture $picture): RedirectResponse
    {
        $picture->delete();
        return back();
    }
}
