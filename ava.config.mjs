import process from 'node:process';

// Each test file runs in a separate process, because the addon has process-wide state and some tests end their process.
export default {
	// scripts/test-windows.mjs runs the tests in test/windows under Wine, scripts/test-platforms.mjs those of released binaries.
	files: process.env.STC_TEST_PLATFORMS ? ['test/platforms/*.test.ts'] : ['test/**/*.test.ts', '!test/windows/**', '!test/platforms/**'],
	extensions: {ts: 'module'},
	nodeArguments: ['--import=tsx'],
	workerThreads: false,
	concurrency: 2,
	// A variable of the CI service must not exclude test files.
	utilizeParallelBuilds: false,
	// A last resort. It is longer than any wait in a test, on a busy machine too, so that a wait in vain fails with its own reason.
	timeout: '20m',
};
