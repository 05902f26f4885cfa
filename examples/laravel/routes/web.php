<?php

use App\Http\Controllers\PhotoController;
use App\Http\Controllers\PictureController;
use Illuminate\Support\Facades\Route;

Route::get('/', [PictureController::class, 'index']);
Route::post('/', [PictureController::class, 'store']);
Route::delete('/pictures/{picture}', [PictureController::class, 'destroy'])->name('pictures.destroy');
Route::get('/photos', [PhotoController::class, 'index']);
Route::post('/photos', [PhotoController::class, 'store']);
