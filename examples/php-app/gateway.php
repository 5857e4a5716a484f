<?php
// What every page begins with: who is there, as the gateway says, and how to tell it what to remember.
declare(strict_types=1);

require __DIR__ . '/../verify/verify.php';

/** [claims, plain headers] of this request. One that did not come through the gateway ends here. */
function gateway_session(): array
{
    $lines = [];
    foreach ($_SERVER as $name => $value) {
        if (str_starts_with($name, 'HTTP_')) $lines[] = [strtr(substr($name, 5), '_', '-'), $value];
    }
    $key = base64_decode(strtr((string) getenv('SESSIONGATE_KEY'), '-_', '+/'));
    try {
        return verify_session($lines, [getenv('SESSIONGATE_KEY_ID') ?: '2026-11' => $key], 'sessiongate', 'php');
    } catch (Refused $why) {
        error_log('refused: ' . $why->getMessage());
        http_response_code(403);
        exit;
    }
}

/** Puts values into the session: the gateway stores them before the browser gets the answer. */
function remember(array $values): void
{
    header('X-Session-Set: ' . json_encode($values, JSON_THROW_ON_ERROR), false);
}

/** An address of this shop as the browser knows it, which may be https although this server is asked by http. */
function public_url(string $path): string
{
    return "{$_SERVER['HTTP_X_FORWARDED_PROTO']}://{$_SERVER['HTTP_X_FORWARDED_HOST']}$path";
}

/** Answers with a redirect, and no more. */
function leave_for(string $path): never
{
    header('Location: ' . public_url($path), true, 303);
    exit;
}

/** Where this user's receipt lies. */
function receipt_of(array $user): string
{
    return (getenv('RECEIPTS') ?: sys_get_temp_dir()) . '/' . hash('sha256', (string) $user['id']);
}

function text(string $value): string
{
    return htmlspecialchars($value, ENT_QUOTES | ENT_SUBSTITUTE);
}
