#include "stores/libsecret_status_linux.h"

#include <chrono>
#include <cstring>
#include <utility>

#include "base/cancellation.h"

namespace stc {

namespace {

// Error codes. Source: GLib 2.74, gioenums.h (GIOErrorEnum, GDBusError); libsecret 0.20,
// secret-types.h (SecretError).
constexpr int kIoPermissionDenied = 14;
constexpr int kIoClosed = 18;  // observed with the bus of another user, and with one that ended
constexpr int kIoTimedOut = 24;
constexpr char kDBusDomain[] = "g-dbus-error-quark";
constexpr int kDBusServiceUnknown = 2;
constexpr int kDBusNameHasNoOwner = 3;
constexpr int kDBusNoReply = 4;
constexpr int kDBusAccessDenied = 9;
constexpr int kDBusTimeout = 12;
constexpr int kDBusDisconnected = 15;
constexpr int kDBusTimedOut = 20;
constexpr int kSecretIsLocked = 2;
// GLib ends a call after this time, whatever our deadline is. Source: GLib 2.74,
// gdbusconnection.c, g_dbus_connection_send_message_with_reply_unlocked.
constexpr std::chrono::seconds kGLibTimeout{25};

}  // namespace

Status LibsecretUnavailable(const char* operation, const char* domain, int code, std::string what) {
  return Status(StatusCode::kStoreUnavailable, operation, domain, code, std::move(what));
}

Status LibsecretTimeout(const char* operation, const char* domain, int code) {
  return Status(StatusCode::kStoreTimeout, operation, domain, code,
                "The keyring did not answer in time. Answer an open prompt, restart the keyring "
                "service, or raise keyringTimeoutInMs.");
}

Status LibsecretLocked(const char* operation, const char* domain, int code) {
  return Status(StatusCode::kStoreLocked, operation, domain, code,
                "The keyring is locked. Unlock it, for instance by logging in at the desktop.");
}

Status LibsecretFailure(const LibsecretApi& api, const char* operation, GError* error) {
  const char* const known = api.g_quark_to_string(error->domain);
  const std::string domain = known == nullptr ? "" : known;
  const int code = error->code;
  // The bus answers for a service that has gone, or for one that took too long. Source: dbus-daemon
  // 1.14, bus/connection.c.
  const bool timed_out =
      error->message != nullptr && std::strstr(error->message, "timeout") != nullptr;
  api.g_error_free(error);
  if (domain == kIoDomain) {
    if (code == kIoTimedOut) return LibsecretTimeout(operation, kIoDomain, code);
    if (code == kIoClosed) {
      return Status(StatusCode::kStoreDenied, operation, kIoDomain, code,
                    "The session bus closed the connection: it refuses this user, or it has ended. "
                    "Run as the user who signed in, in a session with a bus.");
    }
    if (code == kIoPermissionDenied) {
      return Status(StatusCode::kStoreDenied, operation, kIoDomain, code,
                    "The session bus refuses this user. Run as the user who signed in.");
    }
    return LibsecretUnavailable(
        operation, kIoDomain, code,
        "The session bus cannot be reached. Check DBUS_SESSION_BUS_ADDRESS, or run inside "
        "dbus-run-session.");
  }
  if (domain == kDBusDomain) {
    if (code == kDBusTimeout || code == kDBusTimedOut || (code == kDBusNoReply && timed_out)) {
      return LibsecretTimeout(operation, kDBusDomain, code);
    }
    if (code == kDBusNoReply || code == kDBusDisconnected) {
      return LibsecretUnavailable(
          operation, kDBusDomain, code,
          "The keyring service went away during the call. Start it again, for instance by logging "
          "in at the desktop.");
    }
    if (code == kDBusAccessDenied) {
      return Status(
          StatusCode::kStoreDenied, operation, kDBusDomain, code,
          "The keyring service refuses this program. Check the policy of the session bus.");
    }
    return LibsecretUnavailable(
        operation, kDBusDomain, code,
        "No keyring service is on the session bus. Start gnome-keyring-daemon or another "
        "Secret Service.");
  }
  if (domain == kSecretDomain && code == kSecretIsLocked) {
    return LibsecretLocked(operation, kSecretDomain, code);
  }
  if (domain == "g-exec-error-quark" || domain == "g-spawn-error-quark") {
    return LibsecretUnavailable(operation, domain.c_str(), code,
                                "No session bus is running. Run inside dbus-run-session.");
  }
  return Status(StatusCode::kIo, operation, domain, code,
                "The keyring failed. See the log of the keyring service.");
}

bool IsServiceGone(const Status& status) {
  return status.code() == StatusCode::kStoreUnavailable && status.domain() == kDBusDomain &&
         (status.os_code() == kDBusServiceUnknown || status.os_code() == kDBusNameHasNoOwner ||
          HasGoneInCall(status));
}

bool HasGoneInCall(const Status& status) {
  return status.code() == StatusCode::kStoreUnavailable && status.domain() == kDBusDomain &&
         (status.os_code() == kDBusNoReply || status.os_code() == kDBusDisconnected);
}

bool HasStoppedInCall(const Status& status, std::chrono::steady_clock::duration took) {
  return status.code() == StatusCode::kStoreTimeout && status.domain() == kIoDomain &&
         status.os_code() == kIoTimedOut && took > kGLibTimeout + kStopped;
}

}  // namespace stc
