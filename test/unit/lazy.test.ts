/** Modules that are loaded lazily, and fail to load. */

import {createRequire} from 'node:module';
import test from 'ava';
import {StoreError} from '../../dist/errors.js';
import {requireLazily} from '../../dist/runtime/lazy.js';

const load = createRequire(import.meta.url);

test('a module that loads', t => {
	t.is(requireLazily(() => 'exports'), 'exports');
});

test('a module whose file is gone, as when the package is replaced while the program runs', t => {
	const error = t.throws(() => requireLazily(() => load('./no-such-module.js') as unknown), {instanceOf: StoreError});
	t.is(error.code, 'STC_IO');
	t.is(error.message, 'A part of this package could not be loaded: MODULE_NOT_FOUND. Reinstall the package and restart the program.');
	t.is((error.cause as NodeJS.ErrnoException).code, 'MODULE_NOT_FOUND');
});

test('a module whose file cannot be opened', t => {
	const cause = Object.assign(new Error('ENFILE: file table overflow, open \'/module.js\''), {code: 'ENFILE', errno: -23, syscall: 'open'});
	const error = t.throws(() => requireLazily(() => {
		throw cause;
	}), {instanceOf: StoreError});
	t.is(error.message, 'A part of this package could not be loaded: ENFILE. Too many files are open: close some, or raise the limit (ulimit -n).');
	t.like(error, {
		code: 'STC_IO', op: 'load', osDomain: 'errno', osCode: 23,
	});
	t.is(error.cause, cause);
});

test('errors of the module itself are passed on', t => {
	for (const fault of [new TypeError('a bug'), new StoreError('STC_IO', 'of an inner module'), Object.assign(new TypeError('x'), {code: 'STC_INVALID_ARGUMENT'})]) {
		t.throws(() => requireLazily(() => {
			throw fault;
		}), {is: fault});
	}
});
