import { hash } from 'node:crypto'
import { escapeIdentifier, type QueryConfig } from 'pg'

/** The channel on which the trigger tells of changes to sessions. */
export const NOTICE_CHANNEL = 'sessiongate_session'

/**
 * What the trigger calls the session with that key: the first 32 hex digits of the key's SHA-256. Every role of the
 * database may listen on every channel, and whoever learns a key has the session, so the key itself is not told.
 */
export function noticeName(key: string): string {
  return hash('sha256', key, 'hex').slice(0, 32)
}

/** True for a payload that names a session. Every role may notify as well: anything else in the channel is not ours. */
export function isNoticeName(payload: string): boolean {
  return /^[0-9a-f]{32}$/.test(payload)
}

/**
 * - A new row tells nothing: nobody remembers that a session is not there.
 * - A row that is deleted an hour after its end tells nothing either: nobody serves it from memory any more, and
 *   `manage.py clearsessions` deletes a day's rows at once.
 * - `convert_to` in the database's own encoding changes no byte and never fails. (Keys that we ask for are ASCII.)
 */
const FUNCTION_BODY = `
DECLARE
  channel CONSTANT text := '${NOTICE_CHANNEL}';
BEGIN
  IF TG_OP = 'TRUNCATE' THEN
    PERFORM pg_notify(channel, '');
  ELSIF (TG_OP = 'DELETE' AND OLD.expire_date < now() - interval '1 hour') IS NOT TRUE THEN
    PERFORM pg_notify(channel, left(encode(sha256(convert_to(OLD.session_key, getdatabaseencoding())), 'hex'), 32));
    IF TG_OP = 'UPDATE' AND NEW.session_key IS DISTINCT FROM OLD.session_key THEN
      PERFORM pg_notify(channel, left(encode(sha256(convert_to(NEW.session_key, getdatabaseencoding())), 'hex'), 32));
    END IF;
  END IF;
  RETURN NULL;
END
`

/**
 * A version of this file with another function needs other names: gateways of both would otherwise take turns in
 * replacing it, for as long as both run.
 */
const NAMES = { changed: 'sessiongate_session_changed', truncated: 'sessiongate_session_truncated' }

/**
 * SQL that makes the function and its two triggers on `django_session`, and may be run again: for the owner of the
 * table, by hand or in a migration. `schema` is where the table is; left out, all goes where the search path leads.
 *
 * The function has no more rights than whoever writes to the table, and finds only what PostgreSQL itself brings.
 * `ENABLE ALWAYS`, because restoring and replicating sessions (`session_replication_role = replica`) changes them too.
 */
export function notifyTriggerSql(schema?: string): string {
  return `BEGIN;\n${triggerStatements(schema)}COMMIT;\n`
}

/** SQL that takes away what {@link notifyTriggerSql} made. */
export function notifyTriggerRemovalSql(schema?: string): string {
  const { table, name } = qualified(schema)
  return (
    `DROP TRIGGER IF EXISTS ${NAMES.changed} ON ${table};\n` +
    `DROP TRIGGER IF EXISTS ${NAMES.truncated} ON ${table};\n` +
    `DROP FUNCTION IF EXISTS ${name}();\n`
  )
}

function triggerStatements(schema: string | undefined): string {
  const { table, name } = qualified(schema)
  const trigger = (triggerName: string, event: string) =>
    `DROP TRIGGER IF EXISTS ${triggerName} ON ${table};\n` +
    `CREATE TRIGGER ${triggerName} AFTER ${event} EXECUTE FUNCTION ${name}();\n` +
    `ALTER TABLE ${table} ENABLE ALWAYS TRIGGER ${triggerName};\n`
  return (
    `CREATE OR REPLACE FUNCTION ${name}() RETURNS trigger\n` +
    `LANGUAGE plpgsql SET search_path = pg_catalog AS $$${FUNCTION_BODY}$$;\n` +
    trigger(NAMES.changed, `UPDATE OR DELETE ON ${table} FOR EACH ROW`) +
    trigger(NAMES.truncated, `TRUNCATE ON ${table} FOR EACH STATEMENT`)
  )
}

function qualified(schema: string | undefined): { readonly table: string; readonly name: string } {
  const prefix = schema === undefined ? '' : `${escapeIdentifier(schema)}.`
  return { table: `${prefix}django_session`, name: `${prefix}${NAMES.changed}` }
}

/** "sgnt" in ASCII: gateways that start together make the triggers one after another. */
const CREATION_LOCK = 0x73676e74

/**
 * How long the triggers' maker waits for the table, in milliseconds: whoever wants to write meanwhile waits behind it.
 */
const CREATION_LOCK_TIMEOUT_MS = 1000

/** What a connection runs to make the triggers, around another look: somebody else may have made them meanwhile. */
export const creation = {
  begin:
    `BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; SET LOCAL lock_timeout = ${CREATION_LOCK_TIMEOUT_MS}; ` +
    `SELECT pg_advisory_xact_lock(${CREATION_LOCK})`,
  /** Fails where the columns are not Django's: then the trigger would fail too, and every write with it. */
  probe:
    "SELECT convert_to(session_key, getdatabaseencoding()), expire_date < now() - interval '1 hour' " +
    'FROM django_session LIMIT 0',
  schema:
    'SELECT nspname AS schema FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace ' +
    "WHERE pg_class.oid = to_regclass('django_session')",
  statements: triggerStatements,
} as const

/** What {@link lookStatement} finds. */
export interface TriggerLook {
  /** The process of the server that answered. */
  readonly backend: number
  /** Of the server: 150004 is 15.4. */
  readonly version: number
  readonly isStandby: boolean
  /** Whether this connection hears the channel. */
  readonly isListening: boolean
  /** How many tables `django_session` is, its partitions included. */
  readonly tables: number
  /** False if one of them is a view, or a table of another server. */
  readonly areTables: boolean
  /** Every one of them tells of rows, and the first one of TRUNCATE. */
  readonly isTold: boolean
  /**
   * Changes with the tables, their files, the triggers and the function: another table of that name, one that was
   * written anew, a trigger that was switched off and on again. In between changes may not have been told.
   */
  readonly print: string
}

/**
 * Looks at everything that notices depend on: 0.2 ms of the server's time, and it waits for no lock on the table. A
 * trigger counts whatever its name, if its function is word for word this version's. The numbers are the bits of
 * `tgtype`: row 1, before 2, delete 8, update 16, truncate 32, instead 64.
 */
export const lookStatement: Readonly<QueryConfig> = {
  name: 'sessiongate_notices',
  text: `
    WITH RECURSIVE family AS (
      SELECT to_regclass('django_session')::oid AS oid, true AS is_root
      UNION ALL
      SELECT inhrelid, false FROM family JOIN pg_inherits ON inhparent = family.oid
    )
    SELECT pg_backend_pid() AS backend,
      current_setting('server_version_num')::int AS version,
      pg_is_in_recovery() AS "isStandby",
      '${NOTICE_CHANNEL}' IN (SELECT pg_listening_channels()) AS "isListening",
      count(*)::int AS tables,
      bool_and(relkind IN ('r', 'p')) AS "areTables",
      bool_and(tells_rows AND (tells_truncate OR NOT is_root)) AS "isTold",
      string_agg(concat_ws(':', relation.oid, relfilenode, told.print), ' ' ORDER BY relation.oid) AS print
    FROM family
    JOIN pg_class AS relation ON relation.oid = family.oid
    CROSS JOIN LATERAL (
      SELECT coalesce(bool_or(tgtype & 91 = 25), false) AS tells_rows,
        coalesce(bool_or(tgtype & 99 = 32), false) AS tells_truncate,
        string_agg(concat_ws('/', called.oid, called.xmin, function.xmin), ',' ORDER BY called.oid) AS print
      FROM pg_trigger AS called JOIN pg_proc AS function ON function.oid = tgfoid
      WHERE tgrelid = relation.oid AND tgenabled = 'A' AND tgqual IS NULL AND tgattr::text = ''
        AND replace(prosrc, chr(13), '') = $1
    ) AS told`,
  values: [FUNCTION_BODY],
}
