<?php
declare(strict_types=1);

require __DIR__ . '/../gateway.php';
gateway_session();

$name = trim($_POST['name'] ?? '');
if ($_SERVER['REQUEST_METHOD'] === 'POST' && $name !== '') {
    // Here a real shop would look at the password. The session gets a new key by itself.
    remember(['userInfo' => ['id' => crc32($name), 'name' => $name]]);
    $next = $_GET['next'] ?? '/';
    leave_for(preg_match('#^/(?![/\\\\])#', $next) ? $next : '/');
}
?>
<!doctype html>
<title>Log in</title>
<form method="post">
  <label>Name <input name="name" required></label>
  <label>Password <input name="password" type="password"></label>
  <button>Log in</button>
</form>
