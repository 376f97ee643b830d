/** When to check that a write is still in the cache: a program that read the cache before the write may overwrite it afterwards. */

/** From a write to its first check, milliseconds. */
const firstCheckMs = 1000;
/** The same if our lock file was removed while we wrote, so that another program may be writing. */
const recheckAfterLostLockMs = 20;

/** The timers do not keep the event loop alive. */
export class RecheckTimers {
	readonly #check: () => void;
	/** One for each write, so that a later write does not put off the check of an earlier one. */
	readonly #timers = new Set<NodeJS.Timeout>();

	constructor(check: () => void) {
		this.#check = check;
	}

	get isIdle(): boolean {
		return this.#timers.size === 0;
	}

	afterWrite(lockLost: boolean): void {
		this.after(lockLost ? recheckAfterLostLockMs : firstCheckMs);
	}

	after(delayMs: number): void {
		const timer = setTimeout(() => {
			this.#timers.delete(timer);
			this.#check();
		}, delayMs);
		timer.unref();
		this.#timers.add(timer);
	}

	clear(): void {
		for (const timer of this.#timers) {
			clearTimeout(timer);
		}

		this.#timers.clear();
	}
}
