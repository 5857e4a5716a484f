<?php
declare(strict_types=1);

require __DIR__ . '/../gateway.php';
[$claims] = gateway_session();

$item = trim($_POST['item'] ?? '');
if ($_SERVER['REQUEST_METHOD'] === 'POST' && $item !== '') {
    $cart = $claims['ses']['cart'] ?? [];
    $cart[$item] = ($cart[$item] ?? 0) + 1;
    remember(['cart' => $cart]);
}
leave_for('/');
