<?php
// A page that knows nobody's password: the gateway tells it who is there, and keeps what it counts.
require __DIR__ . '/verify.php';

$lines = [];
foreach ($_SERVER as $name => $value) {
    if (str_starts_with($name, 'HTTP_')) $lines[] = [strtr(substr($name, 5), '_', '-'), $value];
}
$key = base64_decode(strtr(trim(file_get_contents(getenv('SESSIONGATE_KEY_FILE') ?: '/run/php/key')), '-_', '+/'));
try {
    [$claims] = verify_session($lines, ['1' => $key], 'sessiongate', 'php');
} catch (Refused $why) {
    error_log('refused: ' . $why->getMessage());
    http_response_code(403);
    exit('Not this way.');
}

$visits = ($claims['ses']['visits'] ?? 0) + 1;
header('X-Session-Set: ' . json_encode(['visits' => $visits]));
header('Content-Type: text/html; charset=utf-8');
$name = htmlspecialchars($claims['ses']['userInfo']['name'] ?? '');
echo "<!doctype html><title>PHP</title><p>PHP says hello to $name, for the {$visits}. time. <a href=\"/\">Django</a>";
