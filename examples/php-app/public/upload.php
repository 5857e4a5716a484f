<?php
declare(strict_types=1);

require __DIR__ . '/../gateway.php';
[$claims] = gateway_session();

$file = $_FILES['receipt'] ?? ['error' => UPLOAD_ERR_NO_FILE];
if ($file['error'] !== UPLOAD_ERR_OK) {
    http_response_code($file['error'] === UPLOAD_ERR_INI_SIZE ? 413 : 422);
    exit('There is no file.');
}
move_uploaded_file($file['tmp_name'], receipt_of($claims['ses']['userInfo']));
leave_for('/');
