{
  # One target. Its sources are chosen by suffix (scripts/build/native-sources.js), so that a new file needs no line here.
  "targets": [
    {
      "target_name": "azure_shared_token_cache",
      "sources": ["<!@(node scripts/build/native-sources.js <(OS))"],
      "include_dirs": ["native"],
      "defines": [
        "NAPI_VERSION=8",
        "NAPI_CPP_EXCEPTIONS",
        # A worker that is terminated in the middle of a job would otherwise abort the process.
        "NODE_API_SWALLOW_UNTHROWABLE_EXCEPTIONS"
      ],
      "variables": {
        "warnings_as_errors%": "<!(node -p \"process.env.STC_WERROR ? 1 : 0\")",
        "napi_headers": "<!(node -p \"require('node-addon-api').include_dir\")"
      },
      "conditions": [
        ["OS=='linux'", {
          "cflags!": ["-fno-exceptions"],
          "cflags_cc!": ["-fno-exceptions", "-fno-rtti", "-std=gnu++17", "-std=gnu++20"],
          "cflags_cc": [
            "-std=c++17", "-fexceptions", "-O3",
            # As a system header, so that our warnings are about our code.
            "-isystem", "<(module_root_dir)/<(napi_headers)",
            "-Wall", "-Wextra", "-Wpedantic", "-Wshadow",
            "-fvisibility=hidden", "-fvisibility-inlines-hidden",
            "-fstack-protector-strong", "-U_FORTIFY_SOURCE", "-D_FORTIFY_SOURCE=2"
          ],
          # nodelete: a worker that ends would unload the addon from under a thread that still waits for a keyring.
          "ldflags": [
            "-Wl,--version-script=<(module_root_dir)/native/addon/exports_linux.map", "-Wl,--no-undefined-version",
            "-Wl,-z,relro", "-Wl,-z,now", "-Wl,-z,nodelete", "-pthread"
          ],
          "libraries": ["-ldl"]
        }],
        ["OS!='linux'", {"include_dirs": ["<(napi_headers)"]}],
        ["OS=='mac'", {
          "xcode_settings": {
            "GCC_ENABLE_CPP_EXCEPTIONS": "YES",
            "CLANG_CXX_LANGUAGE_STANDARD": "c++17",
            "MACOSX_DEPLOYMENT_TARGET": "11.0",
            "GCC_SYMBOLS_PRIVATE_EXTERN": "YES",
            "GCC_OPTIMIZATION_LEVEL": "3",
            "WARNING_CFLAGS": ["-Wall", "-Wextra", "-Wpedantic", "-Wshadow"],
            "OTHER_CPLUSPLUSFLAGS": ["-fstack-protector-strong"],
            "OTHER_LDFLAGS": ["-Wl,-exported_symbols_list,<(module_root_dir)/native/addon/exports_mac.txt"]
          },
          "libraries": ["-framework CoreFoundation", "-framework Security"]
        }],
        ["OS=='win'", {
          # Node's own common.gypi switches the exceptions of Microsoft's standard library off.
          "defines!": ["_HAS_EXCEPTIONS=0"],
          "defines": ["_HAS_EXCEPTIONS=1"],
          "msvs_settings": {
            "VCCLCompilerTool": {
              "ExceptionHandling": 1,
              "AdditionalOptions": ["/std:c++17", "/W4", "/guard:cf", "/sdl"]
            },
            # The linker makes the table of what may be called, without which the checks check nothing.
            "VCLinkerTool": {"AdditionalOptions": ["/guard:cf"]}
          },
          "libraries": ["-lcrypt32", "-ladvapi32"]
        }],
        ["warnings_as_errors==1 and OS=='linux'", {"cflags_cc": ["-Werror"]}]
      ]
    }
  ]
}
