/** What the options of a service are called where a person sets them; it stands in what is said of them. */
export interface OptionNames {
  /** As in "choose another …". */
  readonly port: string;
  readonly host: string;
  readonly allowHosts: string;
  readonly tlsCert: string;
  readonly tlsKey: string;
  readonly insecure: string;
  readonly tokenFile: string;
  readonly checkpointDir: string;
  /** Left out: it cannot be set. */
  readonly maxConnections?: string;
  /** Left out: it cannot be set. */
  readonly maxCheckpointSize?: string;
}

/** Of `trainguard serve`. */
export const flagNames: OptionNames = {
  port: '--port',
  host: '--host',
  allowHosts: '--allow-host',
  tlsCert: '--tls-cert',
  tlsKey: '--tls-key',
  insecure: '--insecure',
  tokenFile: '--token-file',
  checkpointDir: '--checkpoint-dir',
  maxConnections: '--max-connections',
  maxCheckpointSize: '--max-checkpoint-size',
};

/** Of `trainguard run --serve`: those of the configuration's table; token and checkpoints lie in the run's folder. */
export const tableNames: OptionNames = {
  port: 'serve.port or --serve PORT',
  host: 'serve.host',
  allowHosts: 'serve.allowHosts',
  tlsCert: 'serve.tlsCert',
  tlsKey: 'serve.tlsKey',
  insecure: 'serve.insecure',
  tokenFile: '--state-dir',
  checkpointDir: '--state-dir',
};
