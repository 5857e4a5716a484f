import { MAX_STORED_TEXT_BYTES } from '../stored-text.ts'
import type { PostgresStatement } from './postgres-pool.ts'

/**
 * One row's columns. Text that is too long is left out before it is copied out of the table. The date comes in
 * whole milliseconds, `infinity` included, whatever the connection's time zone and date style are: cut off, as a session
 * that Django dates to the microsecond must not seem to live longer here.
 */
const ROW_COLUMNS =
  `CASE WHEN octet_length(session_data) <= ${MAX_STORED_TEXT_BYTES} THEN session_data END AS text, ` +
  'floor(extract(epoch FROM expire_date) * 1000)::float8 AS "expiresAt"'

/**
 * `xmin` names the version of a row: the transaction that wrote it. A statement with this condition changes exactly the
 * version that was read, or none, whoever else wrote meanwhile, and however the new text looks like the old one.
 */
const THIS_VERSION = 'session_key = $1 AND xmin = $2::text::xid'

/** The statements on `django_session`. `$1` is the key wherever there is one. */
export const statements = {
  find: {
    name: 'sessiongate_find',
    text:
      `SELECT xmin::text AS version, ${ROW_COLUMNS}, expire_date <= $2::timestamptz AS "isExpired" ` +
      'FROM django_session WHERE session_key = $1',
  },
  insert: {
    name: 'sessiongate_insert',
    text:
      'INSERT INTO django_session (session_key, session_data, expire_date) VALUES ($1, $2, $3::timestamptz) ' +
      'ON CONFLICT (session_key) DO NOTHING',
  },
  update: {
    name: 'sessiongate_update',
    text: `UPDATE django_session SET session_data = $3, expire_date = $4::timestamptz WHERE ${THIS_VERSION}`,
  },
  /** Insert and delete in one: the row gets the new key, or, where that is taken, everything stays. */
  move: {
    name: 'sessiongate_move',
    text:
      'UPDATE django_session SET session_key = $3, session_data = $4, expire_date = $5::timestamptz ' +
      `WHERE ${THIS_VERSION}`,
  },
  delete: { name: 'sessiongate_delete', text: `DELETE FROM django_session WHERE ${THIS_VERSION}` },
  /**
   * By primary key, past what has expired too: a page is the same small piece of work whether the next living row is near
   * or a million dead ones away.
   */
  page: {
    name: 'sessiongate_page',
    text:
      `SELECT session_key AS key, ${ROW_COLUMNS}, expire_date <= $2::timestamptz AS "isExpired" ` +
      'FROM django_session WHERE session_key > $1 ORDER BY session_key LIMIT $3',
  },
  /**
   * One batch, found by Django's index on `expire_date`. Rows that somebody has locked are left for the next time instead
   * of waited for. The ARRAY is found once and for all; joined, it could be run again per row and delete more than $2.
   * Not prepared: a plan made once, without the date and the number, would read the whole table.
   */
  deleteExpired: {
    text:
      'DELETE FROM django_session WHERE session_key = ANY (ARRAY(SELECT session_key FROM django_session ' +
      'WHERE expire_date <= $1::timestamptz ORDER BY expire_date LIMIT $2 FOR UPDATE SKIP LOCKED))',
  },
  /** By the same index, and no further than `$2`. Not prepared either. */
  countExpired: {
    text:
      'SELECT count(*)::int AS count FROM ' +
      '(SELECT 1 FROM django_session WHERE expire_date <= $1::timestamptz LIMIT $2) AS expired',
  },
  ping: { name: 'sessiongate_ping', text: 'SELECT 1 FROM django_session LIMIT 1' },
} as const satisfies Record<string, PostgresStatement>
