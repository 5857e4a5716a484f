<?php
// What the PHP app behind the chain is told, and two ways of answering that the shop itself does not need.
declare(strict_types=1);

require getenv('SHOP') . '/gateway.php';
[$claims, $plain] = gateway_session();

switch ($_GET['what'] ?? 'seen') {
    case 'seen':
        $headers = array_filter($_SERVER, fn ($name) => str_starts_with((string) $name, 'HTTP_'), ARRAY_FILTER_USE_KEY);
        $claims['ses'] = (object) $claims['ses'];
        echo json_encode(['headers' => $headers, 'claims' => $claims, 'plain' => (object) $plain, 'url' => public_url('/')]);
        break;
    case 'stream':
        // Without a length, and in pieces.
        $file = fopen(receipt_of($claims['ses']['userInfo']), 'rb');
        while (($piece = fread($file, 50000)) !== '' && $piece !== false) {
            echo $piece;
            flush();
        }
        break;
    case 'gzip':
        $body = gzencode(str_repeat("A line that is there many times.\n", 50000), 9);
        header('Content-Encoding: gzip');
        header('X-Digest: ' . hash('sha256', $body));
        header('Content-Length: ' . strlen($body));
        echo $body;
}
