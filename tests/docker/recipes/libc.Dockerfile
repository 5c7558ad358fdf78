# A C library and names for users, without a shell: what programs need that others build without either.
FROM scratch
ADD packages.tar /
COPY etc/ /etc/
