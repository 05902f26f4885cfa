<?php

namespace App\Models;

use App\Darkroom;
use Illuminate\Database\Eloquent\Model;
use Illuminate\Support\Facades\DB;

/** A picture that Darkroom stores. */
class Picture extends Model
{
    protected $fillable = ['alt', 'darkroom_id', 'width', 'height'];

    public function darkroomUrl(string $spec): string
    {
        return Darkroom::imageUrl($this->darkroom_id, $spec);
    }

    protected static function booted(): void
    {
        static::deleted(function (Picture $picture) {
            // The same bytes have the same id, so another row may show the same image.
            if (!Picture::where('darkroom_id', $picture->darkroom_id)->exists()) {
                DB::afterCommit(fn () => rescue(fn () => Darkroom::delete($picture->darkroom_id)));
            }
        });
    }
}
