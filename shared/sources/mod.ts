/** The sources by connector. Adding one is a folder, a line here and a kind of job (workers/jobs.ts). */

/** Loads a source's class. */
export const sources = {
  mariadb: async () => (await import("./mysql/source.ts")).MariadbSource,
  mysql: async () => (await import("./mysql/source.ts")).MysqlSource,
  postgresql: async () => (await import("./postgres/source.ts")).PostgresSource,
};
