<?php
declare(strict_types=1);

require __DIR__ . '/../gateway.php';
gateway_session();

header('X-Session-Command: flush');
leave_for('/login.php');
