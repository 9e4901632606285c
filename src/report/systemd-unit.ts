/** A run that systemd is to keep going. */
export interface UnitPlan {
  readonly run: string;
  readonly cwd: string;
  /** The program's absolute path first. */
  readonly argv: readonly string[];
  readonly env: readonly (readonly [string, string])[];
  readonly graceMs: number;
}

/** What the unit's file is to be called; systemd takes ASCII only. */
export const unitFileName = (run: string): string =>
  `trainguard-${run.replaceAll(/[^A-Za-z0-9:_.-]/g, '-')}.service`;

/**
 * A user unit. Stopping it reaches the supervisor alone, which stops the training gracefully; the training outlives a
 * supervisor that dies, and the next one adopts it.
 */
export function systemdUnit({ run, cwd, argv, env, graceMs }: UnitPlan): string {
  const file = unitFileName(run);
  // the grace for the main process, as much for what it leaves, and a save may be longer than configured
  const stopSeconds = Math.ceil((2 * graceMs) / 1000) + 600;
  return `# Keeps the training run "${run}" going across logouts, crashes and reboots, until it has completed or is given up.
#
# Save this as ~/.config/systemd/user/${file}, then:
#   systemctl --user daemon-reload
#   systemctl --user enable --now ${file}
#   loginctl enable-linger        # so that it goes on while you are logged out, and starts at boot
# To end it for good: systemctl --user disable --now ${file}

[Unit]
Description=trainguard run ${specifiers(run)}
# it is tried again for as long as it takes: a full disk, or another supervisor, may be gone by the morning
StartLimitIntervalSec=0

[Service]
Type=exec
WorkingDirectory=${specifiers(cwd)}
${env.map(([name, value]) => `Environment=${quoted(`${name}=${value}`)}\n`).join('')}ExecStart=${execLine(argv)}
# the training's own output is in its logs (trainguard logs, trainguard attach)
StandardOutput=null
# what keeps trainguard from starting is in the journal (journalctl --user -u ${file})
StandardError=journal

# a stop is for the supervisor alone: it gives the training time to finish a save
KillMode=process
KillSignal=SIGTERM
TimeoutStopSec=${stopSeconds}
# the kernel may kill the training for its memory; that is the supervisor's to handle, not the unit's end
OOMPolicy=continue

# a supervisor that was killed is started again and adopts the training; one that ended has said why by its exit status
Restart=on-abnormal
RestartSec=30
# preempted, another supervisor is at work, or trainguard itself could not go on while the training does: try again
RestartForceExitStatus=75 125
# stopped by a person
SuccessExitStatus=130 143

[Install]
WantedBy=default.target
`;
}

/** A command line that systemd takes apart into the same words again; it expands variables but in the program's path. */
function execLine([program = '', ...words]: readonly string[]): string {
  return [quoted(program), ...words.map((word) => quoted(word.replaceAll('$', '$$$$')))].join(' ');
}

/** One word, whatever is in it. */
const quoted = (word: string): string =>
  `"${specifiers(word)
    .replaceAll(/["\\]/g, String.raw`\$&`)
    .replaceAll(/[\x00-\x1f\x7f]/g, (char) => `\\x${char.charCodeAt(0).toString(16).padStart(2, '0')}`)}"`;

const specifiers = (text: string): string => text.replaceAll('%', '%%');
