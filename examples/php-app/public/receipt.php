<?php
declare(strict_types=1);

require __DIR__ . '/../gateway.php';
[$claims] = gateway_session();

$file = receipt_of($claims['ses']['userInfo']);
if (!is_file($file)) {
    http_response_code(404);
    exit('There is no receipt.');
}
header('Content-Type: application/octet-stream');
header('Content-Disposition: attachment; filename="receipt"');
// nginx sends the file itself, and knows ranges; PHP is done at once.
if (str_starts_with($_SERVER['SERVER_SOFTWARE'] ?? '', 'nginx')) {
    header('X-Accel-Redirect: /receipts/' . basename($file));
    exit;
}
header('Content-Length: ' . filesize($file));
readfile($file);
