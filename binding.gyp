{
  # The one place for the addon's compiler flags and its Node-API version. Keep it JSON with "#" comment lines: scripts/build/addon-flags.mjs
  # reads it for the programs that are compiled without gyp.
  "targets": [
    {
      "target_name": "azure_shared_token_cache",
      # The script selects sources by file suffix, so a new file needs no line here.
      "sources": ["<!@(node scripts/build/native-sources.js <(OS))"],
      "include_dirs": ["native"],
      "defines": [
        "NAPI_VERSION=8",
        "NAPI_CPP_EXCEPTIONS",
        # Without it, a worker that is terminated during a job aborts the process.
        "NODE_API_SWALLOW_UNTHROWABLE_EXCEPTIONS"
      ],
      "variables": {
        "warnings_as_errors%": "<!(node -p \"process.env.STC_WERROR ? 1 : 0\")",
        "napi_headers": "<!(node -p \"require('node-addon-api').include_dir\")",
        # For GCC and Clang on every system.
        "compiler_flags": [
          "-std=c++17", "-fexceptions", "-O3",
          "-Wall", "-Wextra", "-Wpedantic", "-Wshadow",
          "-fvisibility=hidden", "-fvisibility-inlines-hidden",
          "-ffunction-sections", "-fdata-sections",
          "-fstack-protector-strong"
        ],
        "linux_compiler_flags": ["-U_FORTIFY_SOURCE", "-D_FORTIFY_SOURCE=2", "-fstack-clash-protection"],
        # Not for macOS: it turns the keys off for programs that are not arm64e, and no Node is.
        "linux_arm64_compiler_flags": ["-mbranch-protection=standard"]
      },
      "conditions": [
        ["OS=='linux'", {
          "cflags!": ["-fno-exceptions"],
          "cflags_cc!": ["-fno-exceptions", "-fno-rtti", "-std=gnu++17", "-std=gnu++20"],
          "cflags_cc": [
            "<@(compiler_flags)", "<@(linux_compiler_flags)",
            # A system header, so that warnings are about our code only.
            "-isystem", "<(module_root_dir)/<(napi_headers)"
          ],
          # nodelete: a worker that ends must not unload the addon while one of its threads still waits for a keyring.
          "ldflags": [
            "-Wl,--version-script=<(module_root_dir)/native/addon/exports_linux.map", "-Wl,--no-undefined-version", "-Wl,--gc-sections",
            "-Wl,-z,relro", "-Wl,-z,now", "-Wl,-z,nodelete", "-pthread"
          ],
          "libraries": ["-ldl"]
        }],
        ["OS=='linux' and target_arch=='arm64'", {"cflags_cc": ["<@(linux_arm64_compiler_flags)"]}],
        ["OS!='linux'", {"include_dirs": ["<(napi_headers)"]}],
        ["OS=='mac'", {
          "xcode_settings": {
            "GCC_ENABLE_CPP_EXCEPTIONS": "YES",
            "CLANG_CXX_LANGUAGE_STANDARD": "c++17",
            "MACOSX_DEPLOYMENT_TARGET": "11.0",
            "GCC_SYMBOLS_PRIVATE_EXTERN": "YES",
            "GCC_OPTIMIZATION_LEVEL": "3",
            "OTHER_CPLUSPLUSFLAGS": ["<@(compiler_flags)"],
            "OTHER_LDFLAGS": ["-Wl,-exported_symbols_list,<(module_root_dir)/native/addon/exports_mac.txt", "-Wl,-dead_strip"]
          },
          "libraries": ["-framework CoreFoundation", "-framework Security"]
        }],
        ["OS=='win'", {
          # Node's common.gypi disables exceptions in Microsoft's standard library.
          "defines!": ["_HAS_EXCEPTIONS=0"],
          "defines": ["_HAS_EXCEPTIONS=1"],
          "msvs_settings": {
            "VCCLCompilerTool": {
              "ExceptionHandling": 1,
              "AdditionalOptions": ["/std:c++17", "/W4", "/guard:cf", "/sdl"]
            },
            "VCLinkerTool": {
              # No path of a PDB file in the binary.
              "GenerateDebugInformation": "false",
              # The linker writes the table that the checks of /guard:cf need. /Brepro replaces the time in the header by a hash.
              "AdditionalOptions": ["/guard:cf", "/Brepro"]
            }
          },
          "libraries": ["-lcrypt32", "-ladvapi32"]
        }],
        ["warnings_as_errors==1 and OS=='linux'", {"cflags_cc": ["-Werror"]}]
      ]
    }
  ]
}
