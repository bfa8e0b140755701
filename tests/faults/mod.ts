/** The faults. A new one is a file beside this, and a line here. */
export const faults = {
  worker_killed: () => import("./worker_killed.ts"),
  worker_killed_at_points: () => import("./worker_killed_at_points.ts"),
  database_killed: () => import("./database_killed.ts"),
  connection_reset: () => import("./connection_reset.ts"),
  connection_silent: () => import("./connection_silent.ts"),
  capture_frozen: () => import("./capture_frozen.ts"),
  broker_killed: () => import("./broker_killed.ts"),
  two_brokers_killed: () => import("./two_brokers_killed.ts"),
  all_brokers_killed: () => import("./all_brokers_killed.ts"),
  broker_frozen: () => import("./broker_frozen.ts"),
  leaders_moved: () => import("./leaders_moved.ts"),
  rebalance_storm: () => import("./rebalance_storm.ts"),
  consumer_frozen: () => import("./consumer_frozen.ts"),
  consumer_slow: () => import("./consumer_slow.ts"),
  consumer_started_twice: () => import("./consumer_started_twice.ts"),
  disk_full: () => import("./disk_full.ts"),
  output_damaged: () => import("./output_damaged.ts"),
  transaction_huge: () => import("./transaction_huge.ts"),
  topic_made_anew: () => import("./topic_made_anew.ts"),
  partitions_added: () => import("./partitions_added.ts"),
  clock_set_back: () => import("./clock_set_back.ts"),
};

/** Name of a fault. */
export type FaultName = keyof typeof faults;
