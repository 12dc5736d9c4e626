#version 330 core

layout(location = 0) in vec3 position;
layout(location = NORMAL_LOC) in vec3 normal;
#ifdef TEXCOORD_0_LOC
layout(location = TEXCOORD_0_LOC) in vec2 texture_coordinates;
#endif
layout(location = COLOR_0_LOC) in vec4 vertex_color;

// The world is OpenCV's camera frame, in millimetres.
uniform mat4 M;
uniform mat4 V;
uniform mat4 P;

out vec3 model_position;
out vec3 model_normal;
out vec3 world_position;
out vec3 surface_color;
out vec2 picture_place;

void main()
{
    model_position = position;
    model_normal = normal;
    vec4 world = M * vec4(position, 1.0);
    world_position = world.xyz;
    surface_color = vertex_color.rgb;
#ifdef TEXCOORD_0_LOC
    picture_place = texture_coordinates;
#endif
    gl_Position = P * V * world;
}
