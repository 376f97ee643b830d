/** Reads the TAP that AVA writes. Source: TAP 13 specification, and `lib/reporters/tap.js` of AVA 7 for the use of its parts. */

/**
 * @typedef {object} TapTest
 * @property {string} title
 * @property {'passed' | 'failed' | 'skipped'} outcome
 * @property {string[]} log What the test logged, line by line.
 * @property {string[]} diagnosis AVA's description of the failure, line by line.
 */

/** Collects the tests of one TAP stream, line by line. */
export class TapReader {
	/** @type {TapTest[]} */
	tests = [];
	/** Whether the plan was read, which AVA writes last. */
	isComplete = false;
	/** The number of failures that AVA counts. It includes tests that never reported. */
	failedByPlan = 0;

	/** @param {string} line Without its line break. @returns {TapTest | undefined} The test that this line begins. */
	readLine(line) {
		const result = /^(?<not>not )?ok \d+ - (?<title>.*?)(?: # (?<directive>SKIP|TODO))?$/.exec(line);
		if (result) {
			const {not, title, directive} = result.groups;
			// AVA counts test.todo() as a failure.
			const outcome = not || directive === 'TODO' ? 'failed' : (directive === 'SKIP' ? 'skipped' : 'passed');
			const test = {
				title: directive === 'TODO' ? `${title} (to do)` : title, outcome, log: [], diagnosis: [],
			};
			this.tests.push(test);
			return test;
		}

		const last = this.tests.at(-1);
		if (line.startsWith('#   ')) {
			last?.log.push(line.slice(4).trim());
		} else if (line.startsWith('    ')) {
			last?.diagnosis.push(line.slice(4));
		} else if (/^1\.\.\d+$/.test(line)) {
			this.isComplete = true;
		} else {
			const failed = /^# fail (?<count>\d+)$/.exec(line);
			this.failedByPlan = failed ? Number(failed.groups.count) : this.failedByPlan;
		}

		return undefined;
	}

	/** @param {TapTest['outcome']} outcome */
	count(outcome) {
		return this.tests.filter(test => test.outcome === outcome).length;
	}

	/**
	 * Finds failures of a run that are not failures of a test.
	 *
	 * @param {number} exitCode AVA's exit code.
	 * @returns {{count: number, reason: string} | undefined} How many failures to add, and why.
	 */
	unreported(exitCode) {
		const failed = this.count('failed');
		if (!this.isComplete) {
			return {count: 1, reason: `AVA ended with ${exitCode} before it was done`};
		}

		if (this.failedByPlan > failed) {
			const count = this.failedByPlan - failed;
			return {count, reason: `${count} ${count === 1 ? 'test' : 'tests'} began or were declared and never reported`};
		}

		if (this.tests.length === 0) {
			return {count: 1, reason: 'no tests ran'};
		}

		if (exitCode !== 0 && failed === 0) {
			return {count: 1, reason: `AVA ended with ${exitCode} though each test passed: a file timed out or ended early`};
		}

		return undefined;
	}
}
