/**
 * AVA's command, with a TAP reporter that names the tests that were pending when AVA gave up. The reporter of AVA 7.0.0 crashes after a
 * time-out, and when a test calls `process.exit()`, so that the run ends without a reason. It does not report an interrupt.
 *
 * AVA also waits until the output of each test file is closed, which a process that a test has started may keep open for ever.
 */

import process from 'node:process';
import {pathToFileURL} from 'node:url';
import {tool} from '../lib/npm.mjs';

const {default: TapReporter} = await import(new URL('../lib/reporters/tap.js', pathToFileURL(tool.ava)));

/** @param {{pendingTests: Map<string, Set<string>>}} event */
function writePending(reporter, {pendingTests}, message) {
	for (const [testFile, titles] of pendingTests) {
		for (const title of titles) {
			// The second line of the stack says where. It must not be missing.
			const error = {
				type: 'native', name: 'Error', originalError: new Error(message), stack: `${message}\n at ${reporter.relativeFile(testFile)}`,
			};
			reporter.writeTest({testFile, title, err: error}, {passed: false, todo: false, skip: false});
		}
	}
}

TapReporter.prototype.writeTimeout = function (event) {
	writePending(this, event, `Not done when no test had ended for ${event.period / 1000} s`);
};

TapReporter.prototype.writeProcessExit = function (event) {
	writePending(this, event, `Not done when ${this.relativeFile(event.testFile)} called process.exit()`);
};

const {consumeStateChange, endRun} = TapReporter.prototype;
TapReporter.prototype.consumeStateChange = function (event) {
	if (event.type === 'interrupt') {
		writePending(this, event, 'Not done when AVA was interrupted');
	}

	consumeStateChange.call(this, event);
};

TapReporter.prototype.endRun = function () {
	endRun.call(this);
	// AVA has set the exit code.
	setTimeout(() => {
		// eslint-disable-next-line unicorn/no-process-exit -- this is a command
		process.exit();
	}, 1000).unref();
};

await import(pathToFileURL(tool.ava));
