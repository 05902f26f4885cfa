<?php

namespace App\Http\Controllers;

use App\Models\Photo;
use Illuminate\Http\RedirectResponse;
use Illuminate\Http\Request;
use Illuminate\Routing\Controller;
use Illuminate\View\View;

class PhotoController extends Controller
{
    public function index(): View
    {
        return view('pictures', ['pictures' => Photo::latest('id')->get()]);
    }

    public function store(Request $request): RedirectResponse
    {
        $input = $request->validate(['alt' => 'required|max:200', 'file' => 'required|mimes:jpg,png,webp,gif']);
        Photo::create(['alt' => $input['alt'], 'path' => $request->file('file')->store('photos', 's3')]);
        return back();
    }
}
