# The program on an image that brings CANN, TensorFlow 1.15 and npu_bridge; see docs/ascend.md.
#   docker build --build-arg FROM_IMAGE_NAME=IMAGE:TAG -t dcgan .
ARG FROM_IMAGE_NAME
FROM ${FROM_IMAGE_NAME}

WORKDIR /dcgan
COPY . .
# What the image lacks; TensorFlow, numpy and whatever else it has stay as they are.
RUN python3 -m pip install --no-cache-dir pillow imageio matplotlib absl-py tqdm requests jinja2
# Fails if that Python cannot train.
RUN DCGAN_PYTHON=python3 bash test/env.sh
