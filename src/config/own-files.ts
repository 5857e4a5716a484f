/** Where the secrets are kept that the gateway makes for itself at its first start, from the working directory. */
export const SECRET_KEY_FILE = 'var/secret-key'
export const SIGNING_KEY_FILE = 'var/signing-key'
