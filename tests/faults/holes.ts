/**
 * What can go wrong beside the faults of mod.ts, and the test that holds each: those need other tables,
 * or servers whose history they break. `deno task faults --only NAME` runs them, too.
 */

/** A thing that can go wrong, and what looks for it. */
export interface Hole {
  /** What happens and what must hold, as a sentence. */
  readonly what: string;
  /** File of the test. */
  readonly file: string;
  /** Part of its name. */
  readonly test: string;
}

function hole(what: string, file: string, test: string): Hole {
  return { what, file: `tests/${file}_test.ts`, test };
}

/** All of them by name. */
export const holes = {
  row_huge: hole(
    "A row of 50 MB: it is named with the cure or set aside, and memory stays bounded.",
    "e2e/oversize",
    "a row of 50 MB",
  ),
  mysql_failover: hole(
    "A replica is promoted: the capture goes on by GTIDs, unless the replica lacks what is captured.",
    "contract/failover",
    "MySQL: a capture goes on with a replica",
  ),
  pg_failover: hole(
    "A standby is promoted before or after what is captured, and gives LSNs a second time.",
    "contract/failover",
    "PostgreSQL: a capture goes on with a standby that was promoted",
  ),
  pg_failover_slot: hole(
    "A standby that keeps the slot (PostgreSQL 18) is promoted: the capture goes on.",
    "contract/failover",
    "PostgreSQL 18: a capture goes on",
  ),
  slot_dropped: hole(
    "The slot is dropped and rows go: fail, or resync without ghosts.",
    "contract/snapshot",
    "a slot that was dropped is made anew",
  ),
  slot_invalidated: hole(
    "max_slot_wal_keep_size takes the slot's log: fail, or resync.",
    "contract/stream",
    "a slot without its log is lost",
  ),
  binlog_purged_or_reset: hole(
    "The binlog is purged, or reset and numbered from 1 again: fail, or resync.",
    "contract/snapshot",
    "a binlog that was purged or reset",
  ),
  binlog_numbers_again: hole(
    "After a reset the same GTIDs are given to other transactions.",
    "contract/source_mysql_history",
    "a MySQL source where the server's settings",
  ),
  broker_thawed: hole(
    "A frozen broker goes on and still takes itself for a leader: nobody is told ends from before.",
    "contract/frozen_broker",
    "still takes itself for a leader",
  ),
  first_of_two_refused: hole(
    "Two batches are ready and the first is refused: nothing overtakes it.",
    "contract/stream",
    "of two batches the first is refused",
  ),
  late_batch: hole(
    "A killed process's batch comes late: it is shut out.",
    "contract/kafka_client",
    "shuts the older ones out",
  ),
  routing_changed: hole(
    "The topics' names change after a crash: refused until the old job has drained.",
    "contract/capture",
    "another topic template is taken after an orderly end",
  ),
  key_changed_toast: hole(
    "A key changes beside a value that the log leaves out.",
    "contract/stream",
    "a changed key keeps the value",
  ),
  xa_prepared: hole(
    "An XA transaction is prepared, then rolled back or committed: the capture stops before.",
    "contract/stream",
    "a prepared XA transaction",
  ),
  snapshot_interrupted: hole(
    "Parallel chunks of a snapshot are interrupted while rows are deleted and tables truncated.",
    "contract/snapshot",
    "rows that were deleted or truncated while a snapshot",
  ),
  commit_not_visible: hole(
    "A commit is in the WAL and not yet visible when a chunk of a running table is read.",
    "contract/stream",
    "a chunk waits for a commit",
  ),
  truncated: hole(
    "TRUNCATE: every partition learns of it.",
    "contract/stream",
    "a truncate goes to every partition",
  ),
  identical_rows: hole(
    "Identical rows in a table without a key.",
    "contract/stream",
    "of identical rows in a table without a key",
  ),
  retention_passed: hole(
    "Retention deletes what a consumer has not read.",
    "e2e/consume_csv",
    "Records that retention deletes",
  ),
  replayed: hole(
    "A capture is set back: what comes again is not swallowed as a repetition.",
    "contract/positions",
    "changes from an earlier place come again",
  ),
  settings_changed: hole(
    "ALTER DATABASE and ALTER ROLE change how values are written as text.",
    "contract/source_postgres",
    "settings of the database and of the role",
  ),
  poison_records: hole(
    "Records that are no change, of an unknown definition, or refused by the target.",
    "e2e/dead_letters",
    "After kill -9 around dead letters",
  ),
  power_cut: hole(
    "The power fails at any operation on a file.",
    "contract/csv_crash",
    "After a crash at any step",
  ),
} satisfies Record<string, Hole>;

/** Name of a hole. */
export type HoleName = keyof typeof holes;
