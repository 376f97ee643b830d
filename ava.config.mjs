import process from 'node:process';

// Each test file runs in a process of its own: the addon keeps process-wide state, and several tests end processes.
export default {
	// Those for Windows run under Wine: scripts/test-windows.mjs. Those for released binaries need them: scripts/test-platforms.mjs.
	files: process.env.STC_TEST_PLATFORMS ? ['test/platforms/*.test.ts'] : ['test/**/*.test.ts', '!test/windows/**', '!test/platforms/**'],
	extensions: {ts: 'module'},
	nodeArguments: ['--import=tsx'],
	workerThreads: false,
	concurrency: 2,
	// A variable of the CI service must not leave out test files.
	utilizeParallelBuilds: false,
	timeout: '2m',
};
