<?php
declare(strict_types=1);

require __DIR__ . '/../gateway.php';
[$claims] = gateway_session();
['userInfo' => $user, 'cart' => $cart] = $claims['ses'] + ['cart' => []];
?>
<!doctype html>
<title>The shop</title>
<h1>Hello, <?= text($user['name']) ?>.</h1>
<ul>
<?php foreach ($cart as $item => $count): ?>
  <li data-item="<?= text((string) $item) ?>"><?= text((string) $item) ?>: <?= (int) $count ?></li>
<?php endforeach ?>
</ul>
<form method="post" action="/cart.php"><input name="item" required> <button>Put into the cart</button></form>
<form method="post" action="/upload.php" enctype="multipart/form-data">
  <input type="file" name="receipt" required> <button>Keep this receipt</button>
</form>
<?php if (is_file(receipt_of($user))): ?><p><a href="/receipt.php">The receipt</a></p><?php endif ?>
<form method="post" action="/logout.php"><button>Log out</button></form>
