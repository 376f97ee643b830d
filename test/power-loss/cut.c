/*
 * A program: waits, makes one file durable as any other program may do at any time, waits again, and
 * then cuts a file system off its disk. What the system has not written by then is lost, as in a
 * power loss. Arguments: the file, a folder of the file system to cut off, and both times in
 * microseconds.
 */

#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* Source: include/uapi/linux/fs.h and fs/xfs/libxfs/xfs_fs.h of Linux. Ext4 has the same. */
#define STC_SHUTDOWN _IOR('X', 125, uint32_t)
#define STC_WITHOUT_LOG_FLUSH 2

int main(int count, char** arguments) {
  if (count != 5) return 2;
  const int folder = open(arguments[2], O_RDONLY | O_DIRECTORY);
  const int file = open(arguments[1], O_WRONLY | O_CREAT | O_APPEND, 0600);
  if (folder < 0 || file < 0) {
    perror("open");
    return 1;
  }
  usleep((useconds_t)atoi(arguments[3]));
  if (write(file, "x", 1) != 1 || fsync(file) != 0) {
    perror("fsync");
    return 1;
  }
  usleep((useconds_t)atoi(arguments[4]));
  uint32_t flags = STC_WITHOUT_LOG_FLUSH;
  if (ioctl(folder, STC_SHUTDOWN, &flags) != 0) {
    perror("ioctl");
    return 1;
  }
  return 0;
}
