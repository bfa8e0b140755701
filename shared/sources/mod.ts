/** The sources by connector. Adding one is a folder and a line. */

/** Loads a source's class. */
export const sources = {
  mariadb: async () => (await import("./mysql/source.ts")).MariadbSource,
  mysql: async () => (await import("./mysql/source.ts")).MysqlSource,
  postgresql: async () => (await import("./postgres/source.ts")).PostgresSource,
};
