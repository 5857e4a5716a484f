#!/bin/sh
# Makes the secrets at the first start, in the gateway's image; a further run changes nothing.
set -eu
sessiongate='node /app/bin/sessiongate.mjs'

# Written beside and renamed: a start that is broken off leaves no half of a key. The volume is shared with services that
# run as other users, hence readable; nothing else has it.
keep() {
  chmod 444 "$1.new"
  mv "$1.new" "$1"
}

for name in secret_key signing_key postgres_password; do
  file=/run/secrets/$name
  [ -s "$file" ] || { $sessiongate keys new > "$file.new"; keep "$file"; }
done

# What PHP verifies with: it cannot sign for other apps by it.
$sessiongate keys derive --upstream php --config /etc/sessiongate/sessiongate.yaml > /run/php/key.new
keep /run/php/key
