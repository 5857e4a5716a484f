/**
 * Statement for statement what `manage.py migrate` of Django 5.2 runs, so that a project can take the table over with
 * `migrate --fake-initial`. PostgreSQL runs the text as one transaction. The lock makes workers that start together stand
 * in line: `IF NOT EXISTS` alone lets two of them create at once, and one fail.
 */
export const CREATE_TABLE_SQL = [
  // "sgat" in ASCII, and freed with the transaction.
  `SELECT pg_advisory_xact_lock(${0x73676174})`,
  'CREATE TABLE IF NOT EXISTS "django_session" ("session_key" varchar(40) NOT NULL PRIMARY KEY, ' +
    '"session_data" text NOT NULL, "expire_date" timestamp with time zone NOT NULL)',
  'CREATE INDEX IF NOT EXISTS "django_session_session_key_c0390e0f_like" ' +
    'ON "django_session" ("session_key" varchar_pattern_ops)',
  'CREATE INDEX IF NOT EXISTS "django_session_expire_date_a5c62663" ON "django_session" ("expire_date")',
].join('; ')
