# Runs in the guest for capture-vectors: makes the kernel's client send every NFSv3 procedure, with little
# data. /b is a second view of the same export, with caches of its own: what changes there, the client of
# /a learns only from the server's reply, so that errors come from the server. On /a attributes stay
# cached; on /c directories are read without attributes, and a write of more than 1 KiB takes several calls.
nfs_mount /export "$PORT" "$MOUNT_PORT" /a nosharecache,actimeo=600 || fail "mount /a"
nfs_mount /export "$PORT" "$MOUNT_PORT" /b nosharecache,noac,lookupcache=none || fail "mount /b"
nfs_mount /export "$PORT" "$MOUNT_PORT" /c nosharecache,nordirplus,wsize=1024 || fail "mount /c"

df /a                                           # FSSTAT
mkdir /a/directory                              # MKDIR
printf 'forty bytes of data in a file, all told\n' >/a/directory/file  # CREATE unchecked, WRITE
set -C; echo exclusive >/a/exclusive; set +C    # CREATE exclusive
chmod 640 /a/directory/file                     # SETATTR mode
touch -d '2001-02-03 04:05:06' /a/directory/file
truncate -s 30 /a/directory/file                # SETATTR size
chown 1000:1000 /a/directory/file               # SETATTR owner
ln -s ../target/of/link /a/directory/symbolic   # SYMLINK
ln /a/directory/file /a/directory/hard          # LINK
mkfifo /a/directory/fifo                        # MKNOD
mknod /a/directory/null c 1 3
mv /a/exclusive /a/directory/renamed            # RENAME
# Too much for one call: the client sends the pieces unstable and commits.
dd if=/dev/zero of=/c/pieces bs=1500 count=1 conv=fsync 2>/dev/null  # COMMIT
forget
cat /b/directory/file                           # READ
readlink /b/directory/symbolic                  # READLINK
ls -l /b/directory                              # READDIRPLUS
ls /c /c/directory                              # READDIR

# Errors. The names are looked up on /a first, so that it believes what it saw.
ls /a/absent /a/one /a/two /a/three             # LOOKUP noent
ls /a/directory >/dev/null
touch /b/one; (set -C; echo x >/a/one)          # CREATE exist
mkdir /b/two; mkdir /a/two                      # MKDIR exist
touch /b/three; ln -s x /a/three                # SYMLINK exist
rmdir /a/directory                              # RMDIR notempty
rmdir /b/two
touch /a/gone; cat /a/gone; rm /b/gone; rm /a/gone   # REMOVE noent
touch /a/moved; rm /b/moved; mv /a/moved /a/moved2   # RENAME noent
as_user chmod 777 /a/one                        # SETATTR perm
as_user touch /a/denied                         # CREATE acces, or ACCESS that grants little
echo stale >/a/stale
exec 6<>/a/stale
rm /b/stale
as_user true
echo more >&6; sync; stat -t /a/stale           # WRITE stale, GETATTR stale
cat <&6
exec 6>&-

rm /a/directory/hard                            # REMOVE
rm -r /a/directory                              # RMDIR
umount /c; umount /b; umount /a
exit 0
