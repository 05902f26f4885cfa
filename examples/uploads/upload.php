<?php
// DARKROOM_TOKEN=… php upload.php photo.jpg

const ATTEMPTS = 3;

/** Uploads an image and returns its record. Repeating is safe: the same bytes have the same id. */
function upload_image(string $bytes): array
{
    $url = getenv('DARKROOM_URL') ?: 'http://127.0.0.1:8080';
    $headers = ['Authorization: Bearer ' . getenv('DARKROOM_TOKEN'), 'Content-Type: application/octet-stream'];
    $options = ['method' => 'POST', 'header' => $headers, 'content' => $bytes, 'ignore_errors' => true];
    for ($attempt = 1; ; $attempt++) {
        $body = file_get_contents("$url/images", false, stream_context_create(['http' => $options]));
        if ($body === false) {
            throw new RuntimeException("$url does not answer");
        }
        $status = (int) explode(' ', $http_response_header[0])[1];
        $answer = json_decode($body, true, flags: JSON_THROW_ON_ERROR);
        if ($status < 300) {
            return $answer;
        }
        if ($status < 500 || $attempt === ATTEMPTS) {
            throw new RuntimeException("{$answer['error']}: {$answer['message']}");
        }
        sleep(retry_after($http_response_header));
    }
}

function retry_after(array $headers): int
{
    $found = preg_grep('/^Retry-After:/i', $headers);
    return $found ? (int) explode(':', reset($found))[1] : 1;
}

if (realpath($_SERVER['SCRIPT_FILENAME']) === __FILE__) {
    try {
        echo upload_image(file_get_contents($argv[1]))['urls']['html'], "\n";
    } catch (RuntimeException $error) {
        fwrite(STDERR, $error->getMessage() . "\n");
        exit(1);
    }
}
