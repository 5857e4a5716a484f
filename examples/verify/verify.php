<?php
// What an app behind sessiongate does with the session that it is sent. PHP 8.0 or newer, no packages.
// The rules are in docs/header-contract.md. This one knows HS256.
declare(strict_types=1);

const SKEW_SECONDS = 30;

final class Refused extends Exception
{
}

/**
 * The claims of a request and the plain session headers that they vouch for: [claims, headers].
 *
 * @param list<array{string, string}> $headers name and value of every line; where a server joins lines of one name by
 *   a comma (as PHP's own do), a header that came twice fails the signature or the digest.
 * @param array<string, string> $keys kid to key, as bytes.
 */
function verify_session(array $headers, array $keys, string $issuer, string $audience, ?int $now = null): array
{
    $now ??= time();
    $one = function (string $name) use ($headers): string {
        $values = array_column(array_filter($headers, fn ($line) => strtolower($line[0]) === $name), 1);
        return count($values) === 1 ? $values[0] : refuse("$name is there " . count($values) . ' times');
    };
    $parts = explode('.', $one('x-session-assertion'));
    foreach ($keys as $kid => $candidate) {
        if ($parts[0] === encode('{"alg":"HS256","kid":"' . $kid . '","typ":"sessiongate+jwt"}')) $key = $candidate;
    }
    if (!isset($key) || count($parts) !== 3) refuse('unsigned, or signed by an unknown key or algorithm');
    if (!hash_equals(encode(hash_hmac('sha256', "$parts[0].$parts[1]", $key, true)), $parts[2])) refuse('the signature is wrong');
    $claims = json_decode(base64_decode(strtr($parts[1], '-_', '+/')), true, 64, JSON_THROW_ON_ERROR | JSON_BIGINT_AS_STRING);
    if ($claims['iss'] !== $issuer || $claims['aud'] !== $audience) refuse('it is for somebody else');
    if ($claims['iat'] > $now + SKEW_SECONDS || $now >= $claims['exp'] + SKEW_SECONDS) refuse('it is not valid now');
    $plain = [];
    foreach ($claims['hdn'] ?? [] as $name) $plain[$name] = $one($name);
    $lines = array_map(fn ($name, $value) => "$name:$value\n", array_keys($plain), $plain);
    if ($plain && encode(hash('sha256', implode('', $lines), true)) !== $claims['hdr']) refuse('a plain header was changed');
    return [$claims, $plain];
}

function encode(string $data): string
{
    return rtrim(strtr(base64_encode($data), '+/', '-_'), '=');
}

function refuse(string $why): never
{
    throw new Refused($why);
}

// By hand: php verify.php KID KEY ISSUER AUDIENCE [NOW] < heads, KEY as `sessiongate keys derive` prints it.
// Heads are lines "Name: value", one head from the next by an empty line.
if (PHP_SAPI === 'cli' && realpath($argv[0]) === __FILE__) {
    [, $kid, $key, $issuer, $audience] = $argv;
    $keys = [$kid => base64_decode(strtr($key, '-_', '+/'))];
    foreach (explode("\n\n", trim(stream_get_contents(STDIN))) as $head) {
        $pairs = array_map(fn ($line) => array_map('trim', explode(':', $line, 2)), explode("\n", $head));
        try {
            [$claims] = verify_session($pairs, $keys, $issuer, $audience, isset($argv[5]) ? (int) $argv[5] : null);
            echo 'ok ', json_encode($claims), "\n";
        } catch (Refused $why) {
            echo 'refused: ', $why->getMessage(), "\n";
        }
    }
}
