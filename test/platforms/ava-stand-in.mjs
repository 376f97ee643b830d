/**
 * Replaces AVA on an emulated CPU, where AVA is too slow, and under Bun, where it does not run. Runs one file's tests one after the other in
 * one process, with Node's assertions, and prints TAP. It has the part of AVA's interface that this repository's tests use.
 */

import assert from 'node:assert/strict';
import process from 'node:process';

const tests = [];
const before = [];
const after = [];

const matches = (error, {message, name, code, instanceOf} = {}) => {
	if (instanceOf) {
		assert.ok(error instanceof instanceOf);
	}

	for (const [wanted, found] of [[message, error.message], [name, error.name], [code, error.code]]) {
		if (wanted instanceof RegExp) {
			assert.match(found, wanted);
		} else if (wanted !== undefined) {
			assert.equal(found, wanted);
		}
	}
};

/** Copies from `actual` the properties that `expected` has, at every level. Errors are compared as a whole. */
function part(actual, expected) {
	return !(expected instanceof Error) && expected !== null && typeof expected === 'object' && !Array.isArray(expected) && actual !== null && typeof actual === 'object'
		? Object.fromEntries(Object.keys(expected).map(key => [key, part(actual[key], expected[key])]))
		: actual;
}

class Context {
	teardowns = [];
	failures = [];
	assertions = 0;
	context = {};
	title;

	constructor(title) {
		this.title = title;
	}

	#check(assertion) {
		this.assertions++;
		try {
			assertion();
			return true;
		} catch (error) {
			this.failures.push(error);
			return false;
		}
	}

	is = (actual, expected, message) => this.#check(() => assert.ok(Object.is(actual, expected), message ?? `${inspect(actual)} is not ${inspect(expected)}`));
	not = (actual, expected, message) => this.#check(() => assert.ok(!Object.is(actual, expected), message));
	true = (actual, message) => this.is(actual, true, message);
	false = (actual, message) => this.is(actual, false, message);
	truthy = (actual, message) => this.#check(() => assert.ok(actual, message));
	falsy = (actual, message) => this.#check(() => assert.ok(!actual, message));
	deepEqual = (actual, expected, message) => this.#check(() => assert.deepStrictEqual(actual, expected, message));
	notDeepEqual = (actual, expected, message) => this.#check(() => assert.notDeepStrictEqual(actual, expected, message));
	like = (actual, expected, message) => this.#check(() => assert.deepStrictEqual(part(actual, expected), expected, message));
	regex = (actual, pattern, message) => this.#check(() => assert.match(actual, pattern, message));
	notRegex = (actual, pattern, message) => this.#check(() => assert.doesNotMatch(actual, pattern, message));
	pass = () => this.#check(() => undefined);
	fail = message => this.#check(() => assert.fail(message));
	assert = this.truthy;
	throws = (action, expectation) => {
		let thrown;
		this.#check(() => {
			assert.throws(action, error => {
				thrown = error;
				matches(error, expectation);
				return true;
			});
		});
		return thrown;
	};
	throwsAsync = async (action, expectation) => {
		let thrown;
		let isThrown = false;
		try {
			await (typeof action === 'function' ? action() : action);
		} catch (error) {
			thrown = error;
			isThrown = true;
		}

		this.#check(() => {
			assert.ok(isThrown, 'nothing was thrown');
			matches(thrown, expectation);
		});
		return thrown;
	};
	notThrows = action => this.#check(() => assert.doesNotThrow(action));
	notThrowsAsync = async action => {
		let failure;
		try {
			await (typeof action === 'function' ? action() : action);
		} catch (error) {
			failure = error;
		}

		this.#check(() => assert.ifError(failure));
	};
	teardown = action => {
		this.teardowns.push(action);
	};
	timeout = () => undefined;
	log = () => undefined;
}

const inspect = value => {
	const text = typeof value === 'string' ? JSON.stringify(value) : String(value);
	return text.length > 300 ? `${text.slice(0, 300)}...` : text;
};

const declare = (title, implementation) => {
	tests.push({title, implementation});
};

const skip = (title, implementation) => {
	tests.push({title, implementation, isSkipped: true});
};

const hook = list => Object.assign(implementation => {
	list.push(implementation);
}, {
	always(implementation) {
		list.push(implementation);
	},
});

const test = Object.assign(declare, {
	skip,
	before: hook(before),
	after: hook(after),
});
test.serial = test;
export default test;

async function run(title, implementation) {
	const context = new Context(title);
	try {
		await implementation(context);
		if (context.assertions === 0 && !title.startsWith('hook')) {
			context.failures.push(new Error('the test has no assertions'));
		}
	} catch (error) {
		context.failures.push(error);
	}

	for (const teardown of context.teardowns.toReversed()) {
		await teardown();
	}

	return context.failures;
}

const print = line => {
	process.stdout.write(`${line}\n`);
};

/** Runs the declared tests and ends the process. */
export async function runTests() {
	// As in AVA, a waiting test keeps the process alive.
	setInterval(() => undefined, 60_000);
	let number = 0;
	let failed = 0;
	const report = (title, failures) => {
		number++;
		failed += failures.length > 0 ? 1 : 0;
		print(`${failures.length > 0 ? 'not ' : ''}ok ${number} - ${title}`);
		for (const failure of failures) {
			print(String(failure?.stack ?? failure).replaceAll(/^/gm, '    '));
		}
	};

	for (const implementation of before) {
		const failures = await run('hook before', implementation);
		if (failures.length > 0) {
			report('hook before', failures);
		}
	}

	for (const {title, implementation, isSkipped} of tests) {
		if (isSkipped) {
			number++;
			print(`ok ${number} - ${title} # SKIP`);
		} else {
			report(title, await run(title, implementation));
		}
	}

	for (const implementation of after) {
		const failures = await run('hook after', implementation);
		if (failures.length > 0) {
			report('hook after', failures);
		}
	}

	print(`1..${number}`);
	print(`# fail ${failed}`);
	// As AVA, ends the process also if a test left something running.
	// eslint-disable-next-line unicorn/no-process-exit
	process.exit(failed > 0 ? 1 : 0);
}
