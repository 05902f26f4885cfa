<?php

namespace App;

use Illuminate\Foundation\Support\Providers\RouteServiceProvider;
use Illuminate\Support\Facades\Route;
use Illuminate\Support\Facades\Storage;
use League\Flysystem\Filesystem;

class AppServiceProvider extends RouteServiceProvider
{
    public function boot(): void
    {
        Storage::extend('s3', fn ($app, array $config) => new Filesystem(new BucketAdapter($config)));
        $this->routes(fn () => Route::middleware('web')->group(base_path('routes/web.php')));
    }
}
