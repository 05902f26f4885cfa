<?php

namespace App\Models;

use App\Darkroom;
use Illuminate\Database\Eloquent\Model;

/** A picture whose file is on the disk s3. */
class Photo extends Model
{
    protected $fillable = ['alt', 'path'];

    public function darkroomUrl(string $spec): string
    {
        return Darkroom::fileUrl($this->path, $spec);
    }

    protected static function booted(): void
    {
        static::creating(function (Photo $photo) {
            ['width' => $photo->width, 'height' => $photo->height] = Darkroom::objectInfo($photo->path);
        });
    }
}
